"""`bank-pipeline sandbox`: the simulated providers on local ports."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bank_pipeline.cli.output import console
from bank_pipeline.cli.playground import simulated_environment, wings_environment
from bank_pipeline.cli.processes import check_free
from bank_pipeline.cli.simulated import CAST
from bank_pipeline.config import SANDBOX_URL, Settings
from bank_pipeline.sandbox.serve import serve

app = typer.Typer(help="Simulated providers for trying things out.", no_args_is_help=True)


@app.command("serve")
def serve_sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 4510,
    seed: Annotated[int, typer.Option(help="Which world; the same seed is the same world.")] = 7,
) -> None:
    """Serve the four simulated providers until interrupted; control them under /_sim/."""
    check_free(host, port, option="--port")
    console.print(f"simulated providers on http://{host}:{port}  (world {seed})")
    console.print(
        "Plaid at /, the others at /enable_banking, /gocardless, /teller; control: /_sim/"
    )
    console.print(f'use them: eval "$(bank-pipeline sandbox env --url http://{host}:{port})"')
    serve(host=host, port=port, seed=seed, logins=len(CAST))


@app.command("env")
def print_environment(
    url: Annotated[str, typer.Option(help="Where the sandbox answers.")] = SANDBOX_URL,
) -> None:
    """Print the variables that point this shell at a running sandbox, keys included."""
    folder = Settings().state_dir / "sandbox"
    Path(folder).mkdir(parents=True, exist_ok=True)
    variables = simulated_environment(url) | wings_environment(folder, url)
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
