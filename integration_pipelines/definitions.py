"""What Dagster loads: everything that the modules of `defs` define.

The components loader does the same and imports every installed plugin for it, dagster_dbt among
them: 4.4 s more in each run's process. In that one process a run takes its steps in turn: another
for each step would import everything again.
"""

import warnings

import dagster as dg

from integration_pipelines import defs as package
from integration_pipelines.defs.resources import resources

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)
    defs = dg.load_definitions_from_package_module(
        package,
        resources=resources(),
        executor=dg.in_process_executor,
    )
