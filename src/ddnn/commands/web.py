"""`ddnn web`: a page that runs all nets of an export in the visitor's browser."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import WebConfig, from_fields
from ddnn.reporting.tables import print_json

DESCRIPTION = "a static page that runs all nets of an export in a browser"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("export", help="what `ddnn export` wrote")
    parser.add_class_arguments(WebConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(WebConfig, options.as_dict())
    from ddnn.deployment.web import web

    site = web(options.export, config=config)
    if options.json:
        return print_json(site.to_json())
    ratio = site.bytes / site.full_net_bytes
    print(
        f"{site.output}: a page for {', '.join(site.nets)}; a visitor downloads {site.bytes / 1e6:.2f} MB for all of "
        f"them, {ratio:.3f} of what {site.nets[-1]} alone takes\n"
        f"onnxruntime-web comes from {site.ort}; to try the page: python -m http.server --directory {site.output}"
    )
