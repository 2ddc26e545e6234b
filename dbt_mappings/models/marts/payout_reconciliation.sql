-- One row per payout of Stripe or Square, with the QuickBooks deposit that it became; and one per deposit that speaks of a processor and is no payout's.
{{ config(indexes=[{'columns': ['venue_id', 'status']}, {'columns': ['venue_id', 'provider', 'account_id', 'payout_id']}]) }}

-- Until then nobody is to be asked: a bank books what arrives within three of its days, and a weekend may lie between.
{%- set days_to_book = 5 %}

with payouts as (
    select
        payout.venue_id,
        payout.provider,
        payout.account_id,
        payout.source_id as payout_id,
        payout.arrives_on,
        payout.status as payout_status,
        payout.currency,
        payout.amount_minor,
        coalesce(lines.payment_amount_minor, 0) as payment_amount_minor,
        coalesce(lines.refund_amount_minor, 0) as refund_amount_minor,
        coalesce(lines.dispute_amount_minor, 0) as dispute_amount_minor,
        coalesce(lines.fee_amount_minor, 0) as fee_amount_minor,
        coalesce(lines.other_amount_minor, 0) as other_amount_minor,
        coalesce(lines.line_count, 0) as line_count,
        lines.net_amount_minor as lines_amount_minor
    from {{ scoped(ref('payouts')) }} as payout
    left join (
        select
            venue_id,
            provider,
            account_id,
            payout_id,
            currency,
            count(*)::bigint as line_count,
            sum(gross_amount_minor) filter (where line_type = 'payment')::bigint as payment_amount_minor,
            sum(gross_amount_minor) filter (where line_type = 'refund')::bigint as refund_amount_minor,
            sum(gross_amount_minor) filter (where line_type = 'dispute')::bigint as dispute_amount_minor,
            sum(gross_amount_minor) filter (where line_type not in ('payment', 'refund', 'dispute'))::bigint as other_amount_minor,
            sum(fee_amount_minor)::bigint as fee_amount_minor,
            sum(net_amount_minor)::bigint as net_amount_minor
        from {{ scoped(ref('payout_lines')) }} as line
        where not is_deleted
        group by venue_id, provider, account_id, payout_id, currency
    ) as lines
        on lines.venue_id = payout.venue_id
        and lines.provider = payout.provider
        and lines.account_id = payout.account_id
        and lines.payout_id = payout.source_id
        and lines.currency = payout.currency
    where not payout.is_deleted and payout.status in ('paid', 'in_transit') and payout.amount_minor > 0
),

-- Books that are kept: without them a payout is neither there nor missing.
books as (
    select venue_id, min(transaction_on) as begin_on
    from {{ scoped(ref('stg_quickbooks__deposits')) }} as deposit
    where deleted_at is null
    group by venue_id
),

deposits as (
    select
        deposit.venue_id,
        deposit.account_id as books_account_id,
        deposit.deposit_id,
        deposit.transaction_on,
        deposit.currency,
        {{ minor_units('deposit.total_amount', 'deposit.currency') }} as amount_minor,
        lower(concat_ws(' ', deposit.document_number, deposit.private_note, lines.words)) as words
    from {{ scoped(ref('stg_quickbooks__deposits')) }} as deposit
    left join (
        select
            line.venue_id,
            line.account_id,
            line.deposit_id,
            string_agg(concat_ws(' ', line.description, account.name), ' ' order by line.line_number) as words
        from {{ scoped(ref('stg_quickbooks__deposit_lines')) }} as line
        left join {{ scoped(ref('stg_quickbooks__accounts')) }} as account
            using (venue_id, account_id, ledger_account_id)
        group by line.venue_id, line.account_id, line.deposit_id
    ) as lines using (venue_id, account_id, deposit_id)
    where deposit.deleted_at is null and deposit.total_amount > 0
),

-- First by what the books say of the payout, whatever they say it was. Then by amount and day, the nearest first: of several alike that may take as many rounds.
{%- set days_apart = 'abs(deposit.transaction_on - payout.arrives_on)' %}
{%- set by_reference = {
    'words': 'reference',
    'alike': 'position(lower(payout.payout_id) in deposit.words) > 0',
    'nearest': days_apart,
} %}
{%- set by_amount = {
    'words': 'amount and day',
    'alike': 'deposit.currency = payout.currency and deposit.amount_minor = payout.amount_minor
            and deposit.transaction_on - payout.arrives_on between -4 and 10',
    'nearest': 'position(payout.provider in deposit.words) = 0, ' ~ days_apart,
} %}
{%- for round in [by_reference, by_amount, by_amount, by_amount] %}
{%- set before = 'matched_' ~ loop.index0 if not loop.first %}
round_{{ loop.index }} as (
    select
        payout.venue_id,
        payout.provider,
        payout.account_id,
        payout.payout_id,
        deposit.books_account_id,
        deposit.deposit_id,
        row_number() over (
            partition by payout.venue_id, payout.provider, payout.account_id, payout.payout_id
            order by {{ round.nearest }}, deposit.transaction_on, deposit.deposit_id
        ) as of_payout,
        row_number() over (
            partition by deposit.venue_id, deposit.books_account_id, deposit.deposit_id
            order by {{ round.nearest }}, payout.arrives_on, payout.payout_id
        ) as of_deposit
    from payouts as payout
    join deposits as deposit
        on deposit.venue_id = payout.venue_id
        and {{ round.alike }}
    {%- if before %}
    left join {{ before }} as found
        on found.venue_id = payout.venue_id
        and found.provider = payout.provider
        and found.account_id = payout.account_id
        and found.payout_id = payout.payout_id
    left join {{ before }} as taken
        on taken.venue_id = deposit.venue_id
        and taken.books_account_id = deposit.books_account_id
        and taken.deposit_id = deposit.deposit_id
    where found.matched_by is null and taken.matched_by is null
    {%- endif %}
),

matched_{{ loop.index }} as (
    select venue_id, provider, account_id, payout_id, books_account_id, deposit_id, '{{ round.words }}' as matched_by
    from round_{{ loop.index }}
    where of_payout = 1 and of_deposit = 1
    {%- if before %}
    union all
    select * from {{ before }}
    {%- endif %}
),
{% endfor %}
compared as (
    select
        coalesce(payout.venue_id, deposit.venue_id) as venue_id,
        coalesce(
            payout.provider,
            case when position('stripe' in deposit.words) > 0 then 'stripe' else 'square' end
        ) as provider,
        payout.account_id,
        payout.payout_id,
        payout.payout_status,
        payout.arrives_on,
        coalesce(payout.currency, deposit.currency) as currency,
        payout.amount_minor as payout_amount_minor,
        payout.payment_amount_minor,
        payout.refund_amount_minor,
        payout.dispute_amount_minor,
        payout.fee_amount_minor,
        payout.other_amount_minor,
        payout.line_count,
        payout.lines_amount_minor,
        deposit.books_account_id,
        deposit.deposit_id,
        deposit.transaction_on as deposited_on,
        deposit.currency as deposit_currency,
        deposit.amount_minor as deposit_amount_minor,
        matches.matched_by,
        books.begin_on as books_begin_on
    from payouts as payout
    left join matched_4 as matches using (venue_id, provider, account_id, payout_id)
    full join deposits as deposit
        on deposit.venue_id = matches.venue_id
        and deposit.books_account_id = matches.books_account_id
        and deposit.deposit_id = matches.deposit_id
    left join books on books.venue_id = coalesce(payout.venue_id, deposit.venue_id)
    where payout.payout_id is not null
        or position('stripe' in deposit.words) > 0
        or position('square' in deposit.words) > 0
)

select
    venue_id,
    provider,
    account_id,
    payout_id,
    payout_status,
    arrives_on,
    books_account_id,
    deposit_id,
    deposited_on,
    matched_by,
    case
        when payout_id is null then 'no_payout'
        when line_count > 0 and lines_amount_minor <> payout_amount_minor then 'lines_differ'
        when deposit_id is null and books_begin_on is null then 'no_books'
        when deposit_id is null and arrives_on < books_begin_on then 'before_the_books'
        when deposit_id is null and payout_status = 'in_transit' then 'on_its_way'
        when deposit_id is null and arrives_on >= (now() at time zone 'UTC')::date - {{ days_to_book }} then 'awaiting_deposit'
        when deposit_id is null then 'no_deposit'
        when deposit_currency <> currency then 'currency_differs'
        when deposit_amount_minor <> payout_amount_minor then 'amount_differs'
        else 'matched'
    end as status,
    currency,
    payout_amount_minor,
    {{ money('payout_amount_minor') }} as payout_amount,
    payment_amount_minor,
    {{ money('payment_amount_minor') }} as payment_amount,
    refund_amount_minor,
    {{ money('refund_amount_minor') }} as refund_amount,
    dispute_amount_minor,
    {{ money('dispute_amount_minor') }} as dispute_amount,
    fee_amount_minor,
    {{ money('fee_amount_minor') }} as fee_amount,
    other_amount_minor,
    {{ money('other_amount_minor') }} as other_amount,
    line_count,
    lines_amount_minor,
    {{ money('lines_amount_minor') }} as lines_amount,
    deposit_currency,
    deposit_amount_minor,
    {{ money('deposit_amount_minor', 'deposit_currency') }} as deposit_amount,
    case when deposit_currency = currency then deposit_amount_minor - payout_amount_minor end as difference_minor,
    case
        when deposit_currency = currency then {{ money('(deposit_amount_minor - payout_amount_minor)') }}
    end as difference
from compared
