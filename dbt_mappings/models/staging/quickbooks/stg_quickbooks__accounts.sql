-- One row per account of the QuickBooks chart of accounts, inactive ones included.
select
    {{ raw_provenance() }},
    raw.id as ledger_account_id,
    {{ timestamp("account.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("account.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('account."Active"') }} as is_active,
    account."Name" as name,
    account."FullyQualifiedName" as full_name,
    account."AcctNum" as account_number,
    account."Classification" as classification,
    account."AccountType" as account_type,
    account."AccountSubType" as account_subtype,
    account."ParentRef" ->> 'value' as parent_account_id,
    upper(account."CurrencyRef" ->> 'value') as currency,
    {{ decimal('account."CurrentBalance"') }} as current_balance,
    {{ decimal('account."CurrentBalanceWithSubAccounts"') }} as current_balance_with_subaccounts
from {{ source('raw_quickbooks', 'accounts') }} as raw
cross join lateral jsonb_to_record(raw.payload) as account (
    "MetaData" jsonb,
    "ParentRef" jsonb,
    "CurrencyRef" jsonb,
    "Active" text,
    "Name" text,
    "FullyQualifiedName" text,
    "AcctNum" text,
    "Classification" text,
    "AccountType" text,
    "AccountSubType" text,
    "CurrentBalance" text,
    "CurrentBalanceWithSubAccounts" text
)
