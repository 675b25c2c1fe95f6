"""The agent's figures about itself, and where they are served."""
