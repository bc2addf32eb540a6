-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.account CASCADE;

DROP TABLE roost.users CASCADE;

DROP TYPE roost.user_status CASCADE;

DROP TYPE roost.plan_type CASCADE;
