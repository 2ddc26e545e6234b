-- One row per venue, local business day or month, currency and income account of its books, and one for all of these together.
{#-
    What the processors took is held to all income accounts together, for no processor knows the
    accounts: less tax, tips and what was refunded of the rest, but not fees, since books keep the
    first two as debts and fees as an expense. Each account is held to QuickBooks' own ProfitAndLoss
    of its month, which knows no days. Its accrual basis is the one in which a document counts whole
    on its date; a processor counts when it is paid, on the venue's own day, so that invoices, cash
    and a bookkeeper's midnight part days that a month brings together. Documents are read all day and
    reports once: where a month's documents were read after its report, and the two differ, the
    report is older, and nobody is to look for a fault.
-#}
{{ config(indexes=[{'columns': ['venue_id', 'period', 'starts_on']}]) }}
{%- set differs = "report_status in ('differs', 'not_in_report', 'not_in_books')" %}

with ledger_accounts as (
    select venue_id, account_id as books_account_id, source_id as ledger_account_id, full_name, account_type, currency
    from {{ scoped(ref('ledger_accounts')) }} as account
),

income_accounts as (
    select * from ledger_accounts where account_type = 'Income'
),

entries as (
    {%- for document, direction in [('sales_receipt', 1), ('invoice', 1), ('refund_receipt', -1), ('credit_memo', -1)] %}
    select
        line.venue_id,
        line.account_id as books_account_id,
        coalesce(line.ledger_account_id, item.income_account_id) as ledger_account_id,
        line.transaction_on as business_date,
        {{ direction }} * case line.detail_type when 'DiscountLineDetail' then -line.amount else line.amount end as amount,
        line.exchange_rate,
        line.raw_observed_at,
        line.deleted_at
    from {{ scoped(ref('stg_quickbooks__' ~ document ~ '_lines')) }} as line
    left join {{ scoped(ref('stg_quickbooks__items')) }} as item using (venue_id, account_id, item_id)
    where line.detail_type in ('SalesItemLineDetail', 'DiscountLineDetail')

    union all
    {% endfor %}
    select
        venue_id, account_id, ledger_account_id, business_date, -amount, exchange_rate, raw_observed_at, deleted_at
    from {{ scoped(ref('journal_lines')) }} as line

    union all

    select
        venue_id, account_id, ledger_account_id, transaction_on, amount, exchange_rate, raw_observed_at, deleted_at
    from {{ scoped(ref('stg_quickbooks__deposit_lines')) }} as line

    union all

    select
        venue_id, account_id, ledger_account_id, business_date, -amount, exchange_rate, raw_observed_at, deleted_at
    from {{ scoped(ref('expenses')) }} as line
),

booked as (
    select
        entry.venue_id,
        period.period,
        period.starts_on,
        income.currency,
        entry.books_account_id,
        entry.ledger_account_id,
        income.full_name as ledger_account_name,
        -- QuickBooks, too, rounds each line to the currency of the books.
        sum({{ minor_units('entry.amount * coalesce(entry.exchange_rate, 1)', 'income.currency') }})
            filter (where entry.deleted_at is null)::bigint as amount_minor,
        max(greatest(entry.raw_observed_at, entry.deleted_at)) as read_at
    from entries as entry
    join income_accounts as income using (venue_id, books_account_id, ledger_account_id)
    cross join lateral (
        values ('day', entry.business_date), ('month', date_trunc('month', entry.business_date)::date)
    ) as period (period, starts_on)
    group by entry.venue_id, period.period, period.starts_on, income.currency, entry.books_account_id,
        entry.ledger_account_id, income.full_name
),

report_lines as (
    select
        venue_id,
        'month' as period,
        date_trunc('month', period_starts_on)::date as starts_on,
        currency,
        account_id as books_account_id,
        ledger_account_id,
        label,
        section,
        amount
    from {{ scoped(ref('stg_quickbooks__report_lines')) }} as line
    where report = 'ProfitAndLoss' and basis = 'Accrual' and starts_on is null and deleted_at is null
),

reported_months as (
    select distinct month.venue_id, month.books_account_id, month.starts_on, report.cursor_at as read_at
    from report_lines as month
    left join {{ source('control', 'connections') }} as connection
        on connection.venue_id = month.venue_id
        and connection.provider = 'quickbooks'
        and connection.account_id = month.books_account_id
        and connection.status <> 'disconnected'
    left join {{ source('control', 'sync_cursors') }} as report
        on report.venue_id = connection.venue_id
        and report.connection_id = connection.connection_id
        and report.stream = 'profit_and_loss'
),

reported as (
    select
        line.venue_id,
        line.period,
        line.starts_on,
        line.currency,
        line.books_account_id,
        line.ledger_account_id,
        coalesce(min(account.full_name), min(line.label)) as ledger_account_name,
        sum({{ minor_units('line.amount', 'line.currency') }})::bigint as amount_minor
    from report_lines as line
    left join ledger_accounts as account using (venue_id, books_account_id, ledger_account_id)
    where line.ledger_account_id is not null and coalesce(account.account_type = 'Income', line.section like 'Income%')
    group by line.venue_id, line.period, line.starts_on, line.currency, line.books_account_id, line.ledger_account_id
),

months as (
    select
        accounts.*,
        case
            when month.starts_on is null then 'no_report'
            when coalesce(books_amount_minor, 0) = coalesce(report_amount_minor, 0) then 'matched'
            when accounts.read_at > month.read_at then 'report_is_older'
            when report_amount_minor is null then 'not_in_report'
            when books_amount_minor is null then 'not_in_books'
            else 'differs'
        end as report_status
    from (
        select
            venue_id,
            starts_on,
            currency,
            books_account_id,
            ledger_account_id,
            coalesce(booked.ledger_account_name, reported.ledger_account_name) as ledger_account_name,
            booked.amount_minor as books_amount_minor,
            reported.amount_minor as report_amount_minor,
            booked.read_at
        from booked
        full join reported using (venue_id, period, starts_on, currency, books_account_id, ledger_account_id)
        where period = 'month' and (booked.amount_minor is not null or reported.amount_minor is not null)
    ) as accounts
    left join reported_months as month using (venue_id, books_account_id, starts_on)
),

accounts as (
    select
        venue_id, 'month' as period, starts_on, currency, books_account_id, ledger_account_id,
        ledger_account_name, books_amount_minor, report_amount_minor, report_status
    from months

    union all

    select
        day.venue_id, day.period, day.starts_on, day.currency, day.books_account_id, day.ledger_account_id,
        day.ledger_account_name, day.amount_minor, null, month.report_status
    from booked as day
    join months as month
        on month.venue_id = day.venue_id
        and month.starts_on = date_trunc('month', day.starts_on)::date
        and month.currency = day.currency
        and month.books_account_id = day.books_account_id
        and month.ledger_account_id = day.ledger_account_id
    where day.period = 'day' and day.amount_minor is not null
),

takings as (
    select
        venue_id,
        business_date,
        currency,
        gross_amount_minor - coalesce(tax_amount_minor, 0) - coalesce(tip_amount_minor, 0) as amount_minor
    from {{ scoped(ref('payments')) }} as payment
    where not is_deleted

    union all

    -- A refund gives back its share of the payment's tax and tip.
    select
        refund.venue_id,
        refund.business_date,
        refund.currency,
        coalesce(
            round(
                refund.amount_minor::numeric
                * (coalesce(payment.tax_amount_minor, 0) + coalesce(payment.tip_amount_minor, 0))
                / nullif(payment.gross_amount_minor, 0)
            )::bigint,
            0
        ) - refund.amount_minor as amount_minor
    from {{ scoped(ref('refunds')) }} as refund
    left join {{ scoped(ref('payments')) }} as payment
        on payment.venue_id = refund.venue_id
        and payment.provider = refund.provider
        and payment.account_id = refund.account_id
        and payment.source_id = refund.payment_id
    where refund.is_effective and not refund.is_deleted
),

taken as (
    select venue_id, period.period, period.starts_on, currency, sum(amount_minor)::bigint as amount_minor
    from takings
    cross join lateral (
        values ('day', business_date), ('month', date_trunc('month', business_date)::date)
    ) as period (period, starts_on)
    group by venue_id, period.period, period.starts_on, currency
),

books as (
    select venue_id, currency, min(booked.starts_on) filter (where booked.period = 'day') as begin_on
    from (select distinct venue_id, currency from income_accounts) as accounts
    left join (select * from booked where amount_minor is not null) as booked using (venue_id, currency)
    group by venue_id, currency
),

totals as (
    select
        venue_id,
        period,
        starts_on,
        currency,
        taken.amount_minor as processor_amount_minor,
        income.books_amount_minor,
        income.report_amount_minor,
        income.report_status,
        income.differing_accounts,
        case
            when books.venue_id is null
                then case when venue_id in (select venue_id from books) then 'other_currency' else 'no_books' end
            when starts_on < books.begin_on and period = 'day' or starts_on < date_trunc('month', books.begin_on)
                then 'before_the_books'
            when coalesce(taken.amount_minor, 0) = coalesce(income.books_amount_minor, 0) then 'matched'
            when income.books_amount_minor is null then 'not_in_books'
            when taken.amount_minor is null then 'not_at_processors'
            else 'differs'
        end as sales_status
    from taken
    full join (
        select
            venue_id,
            period,
            starts_on,
            currency,
            sum(books_amount_minor)::bigint as books_amount_minor,
            sum(report_amount_minor)::bigint as report_amount_minor,
            case
                when bool_or({{ differs }}) then 'differs'
                when bool_or(report_status = 'report_is_older') then 'report_is_older'
                when bool_or(report_status = 'no_report') then 'no_report'
                else 'matched'
            end as report_status,
            array_agg(ledger_account_name order by ledger_account_name)
                filter (where {{ differs }}) as differing_accounts
        from accounts
        group by venue_id, period, starts_on, currency
    ) as income using (venue_id, period, starts_on, currency)
    left join books using (venue_id, currency)
),

compared as (
    select
        venue_id, period, starts_on, currency, null as books_account_id, null as ledger_account_id,
        null as ledger_account_name, processor_amount_minor, books_amount_minor, report_amount_minor,
        sales_status, report_status, coalesce(differing_accounts, array[]::text[]) as differing_accounts
    from totals

    union all

    select
        venue_id, period, starts_on, currency, books_account_id, ledger_account_id,
        ledger_account_name, null, books_amount_minor, report_amount_minor,
        null, report_status, array[]::text[]
    from accounts
)

select
    venue_id,
    period,
    starts_on,
    currency,
    books_account_id,
    ledger_account_id,
    ledger_account_name,
    sales_status,
    report_status,
    differing_accounts,
    processor_amount_minor,
    {{ money('processor_amount_minor') }} as processor_amount,
    books_amount_minor,
    {{ money('books_amount_minor') }} as books_amount,
    report_amount_minor,
    {{ money('report_amount_minor') }} as report_amount,
    case when sales_status in ('matched', 'differs', 'not_in_books', 'not_at_processors')
        then coalesce(books_amount_minor, 0) - coalesce(processor_amount_minor, 0) end as sales_difference_minor,
    case when sales_status in ('matched', 'differs', 'not_in_books', 'not_at_processors')
        then {{ money('(coalesce(books_amount_minor, 0) - coalesce(processor_amount_minor, 0))') }} end as sales_difference,
    case when period = 'month' and report_status <> 'no_report'
        then coalesce(books_amount_minor, 0) - coalesce(report_amount_minor, 0) end as report_difference_minor,
    case when period = 'month' and report_status <> 'no_report'
        then {{ money('(coalesce(books_amount_minor, 0) - coalesce(report_amount_minor, 0))') }} end as report_difference
from compared
