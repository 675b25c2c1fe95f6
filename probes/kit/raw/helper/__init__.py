"""The helper process: forked for one job, without privileges once its sockets are open, heard line by line."""
