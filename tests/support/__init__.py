"""What tests share: experiments, the command, files of other programs, and what is expected of messages."""
