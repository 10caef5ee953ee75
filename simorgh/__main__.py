from simorgh.cli import main

main()
