"""Members, who follow each other, and what they post."""

from django.db import models


class Member(models.Model):
    name = models.CharField(max_length=50, unique=True)
    email = models.EmailField()
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")


class Post(models.Model):
    author = models.ForeignKey(Member, on_delete=models.CASCADE)
    message = models.TextField()
    mailed = models.PositiveIntegerField(default=0)
