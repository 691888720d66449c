{{ config(materialized='table') }}

select
    location_id,
    local_month,
    channel,
    count(*) as turns,
    count(answered_at) as answered,
    count(human_answered_at) as answered_by_a_person,
    percentile_cont(0.5) within group (order by response_seconds) as median_response_seconds,
    percentile_cont(0.5) within group (order by human_response_seconds) as median_human_response_seconds
from {{ ref('stg_response_times') }}
group by location_id, local_month, channel
