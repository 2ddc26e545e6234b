-- One row per Square loyalty program.
select
    {{ raw_provenance() }},
    raw.id as loyalty_program_id,
    {{ timestamp('program.created_at') }} as created_at,
    {{ timestamp('program.updated_at') }} as updated_at,
    program.status,
    program.terminology ->> 'one' as unit_singular,
    program.terminology ->> 'other' as unit_plural,
    program.location_ids,
    program.reward_tiers,
    program.accrual_rules
from {{ source('raw_square', 'loyalty_programs') }} as raw
cross join lateral jsonb_to_record(raw.payload) as program (
    terminology jsonb,
    location_ids jsonb,
    reward_tiers jsonb,
    accrual_rules jsonb,
    created_at text,
    updated_at text,
    status text
)
