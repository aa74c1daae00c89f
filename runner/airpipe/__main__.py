from airpipe.cli import main

main()
