"""One question and its answer, to a name server or a web server, over the sending layer."""
