{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- A model's schema is exactly the one it names: analysts and grants rely on it. -#}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}


{% macro postgres__create_view_as(relation, sql) -%}
    {#- A view reads with its reader's rights: otherwise its owner's policies would apply. -#}
    create view {{ relation }} with (security_invoker = true) as (
        {{ sql }}
    );
{%- endmacro %}
