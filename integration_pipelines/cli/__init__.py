"""The `integrations` command. Each command lives in a module beside this file, imported when it
is asked for; dagster only where it runs something.

Exit status: 0 when all asked for succeeded, 1 when something failed, 2 when the command line is
wrong, 130 when interrupted. An error is one line on standard error that says what to do.
"""

import signal
import sys
from importlib import import_module
from types import FrameType

import click

from integration_pipelines.cli.application import Application

COMMANDS = {
    "init": ("database", "Bring the database to head: migrations, schemas, roles."),
    "venues": ("venues", "Add, list and remove venues."),
    "users": ("users", "Who may sign in at the portal."),
    "connect": ("connections", "Connect a venue's account: credentials as JSON on standard input."),
    "disconnect": ("connections", "Disconnect a venue's account; its data stays."),
    "sync": ("sync", "Bring the venues' data up to date and wait for it."),
    "status": ("status", "Connections, their health and freshness, dead letters."),
    "mappings": ("mappings", "Rules by which a venue fills its own fields."),
    "fields": ("fields", "Fields of payloads that appeared, changed their type or vanished."),
    "explain": ("figures", "What a figure is made of, down to the payloads it was read from."),
    "webhooks": ("webhooks", "What providers told of; dead letters, and their replay."),
    "work": ("work", "Work on webhooks the moment they come in, in a process that stays."),
    "vault": ("vault", "Credentials under which keys; wrap them anew."),
    "db": ("database", "The database's URL, and psql on it."),
}
"""Command: module, and what the overview says of it."""


class Commands(click.Group):
    """The commands of COMMANDS; the overview imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in COMMANDS])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def integrations(application: Application, debug: bool) -> None:
    """Every venue's Stripe, Square, Mailchimp and QuickBooks data in one Postgres.

    Settings come from the environment and `.env`; `.env.example` documents them.
    """
    application.debug = debug


def main() -> None:
    """The console script."""
    application = Application()
    # As Ctrl-C would: what was begun is ended in order, the embedded Postgres too.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = integrations.main(prog_name="integrations", obj=application, standalone_mode=False)
    except click.ClickException as error:
        status = error.exit_code
        report(_usage(error))
    except (click.Abort, KeyboardInterrupt):
        status = 130
        report("interrupted")
    except Exception as error:
        if application.debug:
            raise
        from integration_pipelines.cli.troubles import explain

        status = 1
        report(explain(error))
    sys.exit(status or 0)


def report(message: str) -> None:
    """One line on standard error."""
    click.echo(f"integrations: {message}", err=True)


def _usage(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message.rstrip('.')}: see `{context.command_path} --help`" if context else message


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
