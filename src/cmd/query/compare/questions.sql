-- How many photos are there in each part?
SELECT split, count(*) AS photos FROM images GROUP BY split ORDER BY split
