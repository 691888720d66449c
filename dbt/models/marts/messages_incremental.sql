{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['location_id', 'message_id'],
    on_schema_change='fail',
    indexes=[{'columns': ['location_id', 'message_id'], 'unique': true}, {'columns': ['updated_at']}],
) }}

select
    location_id,
    message_id,
    conversation_id,
    contact_id,
    user_id,
    message_type,
    direction,
    source,
    status,
    date_added,
    date_updated,
    deleted_at,
    updated_at
from {{ source('highlevel', 'messages') }}
{% if is_incremental() %}
where updated_at > (
    select coalesce(max(updated_at) - interval '{{ var("highlevel_overlap") }}', '-infinity') from {{ this }}
)
{% endif %}
