-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.message CASCADE;

DROP TABLE roost.messages CASCADE;

DROP DOMAIN roost.message_content CASCADE;
