"""The one Gator of this project; import it from here."""

from alligator import Gator
from django.conf import settings

gator = Gator(settings.GATOR_DSN)
