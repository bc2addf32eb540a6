"""From a commit to the sockets."""
