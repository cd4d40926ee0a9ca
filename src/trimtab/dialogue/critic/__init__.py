"""What will a reply be worth, judged by what has been said of it so far? Value heads, their training, their report."""
