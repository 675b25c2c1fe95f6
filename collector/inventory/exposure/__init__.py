"""From where services can be reached: who may say so, and what the store holds of it."""
