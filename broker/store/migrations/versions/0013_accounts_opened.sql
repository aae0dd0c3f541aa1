-- A closed month does not know who came later. The accounts there are were there from the beginning.
ALTER TABLE accounts ADD COLUMN opened_at TIMESTAMP WITH TIME ZONE;
