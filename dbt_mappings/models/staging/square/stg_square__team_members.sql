-- One row per Square team member, inactive ones included.
select
    {{ raw_provenance() }},
    raw.id as team_member_id,
    {{ timestamp('member.created_at') }} as created_at,
    {{ timestamp('member.updated_at') }} as updated_at,
    member.status,
    {{ boolean('member.is_owner') }} as is_owner,
    member.given_name,
    member.family_name,
    member.email_address as email,
    member.phone_number as phone,
    member.reference_id,
    member.assigned_locations ->> 'assignment_type' as assignment_type,
    member.assigned_locations -> 'location_ids' as location_ids,
    member.wage_setting -> 'job_assignments' as job_assignments
from {{ source('raw_square', 'team_members') }} as raw
cross join lateral jsonb_to_record(raw.payload) as member (
    assigned_locations jsonb,
    wage_setting jsonb,
    created_at text,
    updated_at text,
    status text,
    is_owner text,
    given_name text,
    family_name text,
    email_address text,
    phone_number text,
    reference_id text
)
