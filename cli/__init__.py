"""gator, the command line: click commands, one file a command."""
