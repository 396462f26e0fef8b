import sys
from collections import Counter

words = Counter(sys.stdin.read().split())
for word, count in words.most_common(5):
    print(f"{count:3} {word}")
