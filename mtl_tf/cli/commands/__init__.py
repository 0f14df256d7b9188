"""The commands of `mtl-tf`, one module each.

Each module has two functions: `add_parser(subparsers)` returns the parser of its command, and
`run(options)` runs the command and returns the exit code.
"""
