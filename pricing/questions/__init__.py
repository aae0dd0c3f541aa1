"""What a trading floor asks of a clearing: why this price, what a rule costs, who would be hit, who could move the price.

Everything here stands on a book, its clearing, and clearings of books that differ in one thing; nothing looks inside a path.
"""
