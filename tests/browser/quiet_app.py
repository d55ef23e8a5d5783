"""The whole page without models: `python -m tests.browser.quiet_app PORT`. Runs come from RESULTS_DIR."""

import sys

from space import app


def main(port):
    app.build().launch(server_port=port, theme=app.theme(), css_paths=app.STYLES, ssr_mode=False, run_history=False,
                       footer_links=[], show_error=False, quiet=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
