"""What every answer to a person is made of: views, cursors of pages, notes, and words for what is wrong."""
