"""What knows no sound: errors, paths, hashes, numbers as prose shows them, what is kept, and who does the work."""
