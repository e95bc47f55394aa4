"""`bank-pipeline sandbox`: the simulated providers on local ports."""

from typing import Annotated

import typer

from bank_pipeline.cli.output import console
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import serve

app = typer.Typer(help="Simulated providers for trying things out.", no_args_is_help=True)


@app.command("serve")
def serve_sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 4510,
    seed: Annotated[int, typer.Option(help="Which world; the same seed is the same world.")] = 7,
) -> None:
    """Serve the simulated Plaid until interrupted; control it under /_sim/."""
    console.print(f"simulated Plaid on http://{host}:{port}  (world {seed}, control under /_sim/)")
    options = PlaidOptions()
    console.print(f"export PLAID_CLIENT_ID={options.client_id} PLAID_SECRET={options.secret}")
    console.print(f"export PLAID_BASE_URL=http://{host}:{port}")
    serve(host=host, port=port, seed=seed)
