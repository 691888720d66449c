{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['location_id', 'message_id'],
    on_schema_change='fail',
    indexes=[{'columns': ['location_id', 'message_id'], 'unique': true}, {'columns': ['updated_at']}],
    post_hook="
        delete from {{ this }} as copy using {{ source('highlevel', 'deleted_rows') }} as gone
        where gone.table_name = 'messages' and gone.location_id = copy.location_id and gone.id = copy.message_id
          and not exists (
              select from {{ source('highlevel', 'messages') }} as loaded
              where loaded.location_id = copy.location_id and loaded.message_id = copy.message_id
          )
    ",
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
