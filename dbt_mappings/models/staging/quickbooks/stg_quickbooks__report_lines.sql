-- One row per line and column of a QuickBooks report: an account or a summary, in a month or in all.
select
    {{ raw_provenance() }},
    raw.report,
    raw.payload #>> '{Header,ReportBasis}' as basis,
    raw.payload #>> '{Header,Currency}' as currency,
    {{ calendar_date("raw.payload #>> '{Header,StartPeriod}'") }} as period_starts_on,
    lines.place,
    lines.kind,
    array_to_string(
        case lines.kind
            when 'summary' then array_remove(lines.section || coalesce(lines.body #>> '{Header,ColData,0,value}', ''), '')
            else lines.section
        end,
        ' / '
    ) as section,
    lines.cells #>> '{0,id}' as ledger_account_id,
    lines.cells #>> '{0,value}' as label,
    cell.position - 1 as column_number,
    raw.payload #>> array['Columns', 'Column', (cell.position - 1)::text, 'ColTitle'] as column_title,
    (
        select {{ calendar_date("key ->> 'Value'") }}
        from {{ elements("raw.payload #> array['Columns', 'Column', (cell.position - 1)::text, 'MetaData']") }} as key
        where key ->> 'Name' = 'StartDate'
    ) as starts_on,
    (
        select {{ calendar_date("key ->> 'Value'") }}
        from {{ elements("raw.payload #> array['Columns', 'Column', (cell.position - 1)::text, 'MetaData']") }} as key
        where key ->> 'Name' = 'EndDate'
    ) as ends_on,
    {{ decimal("cell.body ->> 'value'") }} as amount
from (
    select 'ProfitAndLoss' as report, profit_and_loss.* from {{ source('raw_quickbooks', 'profit_and_loss') }} as profit_and_loss
    union all
    select 'BalanceSheet' as report, balance_sheet.* from {{ source('raw_quickbooks', 'balance_sheet') }} as balance_sheet
    union all
    select 'CashFlow' as report, cash_flow.* from {{ source('raw_quickbooks', 'cash_flow') }} as cash_flow
) as raw
-- Report by report, so that who asks for one venue's takes those alone apart.
cross join lateral (
    with recursive nodes as (
        select
            element.body,
            array[element.position] as place,
            array[]::text[] as section
        from {{ elements("raw.payload #> '{Rows,Row}'") }} with ordinality as element (body, position)

        union all

        select
            element.body,
            above.place || element.position,
            array_remove(above.section || coalesce(above.body #>> '{Header,ColData,0,value}', ''), '')
        from nodes as above
        cross join lateral {{ elements("above.body #> '{Rows,Row}'") }} with ordinality as element (body, position)
    )

    select
        nodes.*,
        line.kind,
        line.cells
    from nodes
    cross join lateral (
        -- An account that has others below it heads their section, its own amounts beside it.
        select 'account' as kind, nodes.body #> '{Header,ColData}' as cells
        where jsonb_path_exists(nodes.body, '$.Header.ColData[1 to last].value ? (@ != "")')
        union all
        select 'account', nodes.body -> 'ColData'
        union all
        select 'summary', nodes.body #> '{Summary,ColData}'
    ) as line
    where jsonb_typeof(line.cells) = 'array'
) as lines
cross join lateral {{ elements('lines.cells') }} with ordinality as cell (body, position)
where cell.position > 1
