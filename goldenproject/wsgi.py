"""What a WSGI server such as gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "goldenproject.settings.dev")
application = get_wsgi_application()
