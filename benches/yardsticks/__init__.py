"""What results are held against, in tests and in benches: records, other solvers, the words of the guide."""
