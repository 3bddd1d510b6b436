"""What tests share: experiments, the command, files of other programs, and what is expected of messages."""

#: Names the folder of what the processes of one test run share; conftest makes it, and removes it at the end.
RUN_FOLDER = "CUBRAGG_TEST_RUN"
