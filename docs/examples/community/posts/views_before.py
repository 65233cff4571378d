"""The view as it was: whoever posts waits until the last mail is out."""

from django.core.mail import send_mail
from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from posts.models import Member, Post


def new_post(request):
    author = get_object_or_404(Member, name=request.POST["author"])
    post = Post.objects.create(author=author, message=request.POST["message"])

    for member in author.followers.all():
        send_mail(f"{author.name} wrote", post.message, None, [member.email])

    return HttpResponse(f"post {post.pk}\n", status=201)
