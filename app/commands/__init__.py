"""The command line's commands, one file a group; nothing here imports torch before a command needs it."""
