"""The operator's own machine: files, where they are, the scope that it keeps."""
