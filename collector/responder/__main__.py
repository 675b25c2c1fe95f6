"""`python -P -m collector.responder`: the responder's process, which `collector.responder.process` starts."""

from collector.responder.serve import main

if __name__ == "__main__":
    main()
