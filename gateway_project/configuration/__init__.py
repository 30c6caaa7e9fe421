"""Configuration files: `importing.import_file` takes one in, `exporting.export` writes one, `defaults.file_defaults`
tells `serve` what a file says about host, port and database."""
