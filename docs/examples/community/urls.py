"""The view as it was, and as it is."""

from django.urls import path

from posts import views, views_before

urlpatterns = [
    path("before/", views_before.new_post),
    path("posts/", views.new_post),
    path("posts/<int:post_id>/", views.show_post),
]
