"""What `import fabnode` offers to programs: runs without a screen, and their results as values."""
