-- Questions about the published tables, one a block: what is asked, then the query. An ORDER BY at the end orders all rows.

-- How many photos are there in each part?
SELECT split, count(*) AS photos FROM images GROUP BY split ORDER BY split

-- What is the accuracy of each method, with its 95 % confidence interval over episodes?
SELECT r.method, r.levels, r.image_source, r.k_shot, avg(e.accuracy) AS accuracy, 1.96 * stddev_samp(e.accuracy) / sqrt(count(*)) AS ci95 FROM episodes e JOIN results r USING (node) GROUP BY ALL ORDER BY accuracy DESC, 1, 2, 3, 4

-- Which pairs of classes are confused most?
SELECT t.class_name AS truth, p.class_name AS taken_for, count(*) AS times FROM predictions q JOIN splits t ON t.class_id = q.class_id JOIN splits p ON p.class_id = q.predicted_class_id WHERE q.class_id <> q.predicted_class_id GROUP BY 1, 2 ORDER BY times DESC, 1, 2 LIMIT 10

-- Which crops miss the bird?
SELECT c.node, i.path, c.iou FROM crops c JOIN images i USING (image_id) WHERE c.iou < 0.2 ORDER BY c.iou, c.node, i.path LIMIT 20

-- What did each stage cost over the last 20 runs?
SELECT n.stage, sum(n.seconds) AS seconds, count(*) FILTER (WHERE n.outcome = 'executed') AS executed, count(*) AS nodes FROM nodes n WHERE n.run_id IN (SELECT run_id FROM runs ORDER BY started DESC, run_id LIMIT 20) GROUP BY n.stage ORDER BY seconds DESC, n.stage

-- Which photos are nearest to the first novel one by their embeddings?
WITH whole AS (SELECT * FROM features WHERE source = 'image'), asked AS (SELECT * FROM whole WHERE split = 'novel' ORDER BY image_id LIMIT 1) SELECT w.image_id, w.class_id = a.class_id AS same, list_cosine_similarity(w.embedding, a.embedding) AS similarity FROM whole w, asked a WHERE w.image_id <> a.image_id ORDER BY similarity DESC, w.image_id LIMIT 10

-- Which tables are there?
SHOW TABLES

-- Which columns does the table of results have?
DESCRIBE results

-- What is in the table of classes, in short?
SUMMARIZE splits

-- What does a row of results look like?
FROM results ORDER BY node LIMIT 1

-- How many classes are in each part?
SELECT part, count(*) AS classes FROM splits GROUP BY part ORDER BY classes DESC, part

-- Does any class lie in two parts?
SELECT class_id FROM splits GROUP BY class_id HAVING count(DISTINCT part) > 1

-- Which class has the most photos?
SELECT class_name, count(*) AS photos FROM images GROUP BY class_name ORDER BY photos DESC, class_name LIMIT 1

-- Which classes have fewer photos than the mean class?
WITH n AS (SELECT class_id, count(*) AS photos FROM images GROUP BY class_id) SELECT class_id, photos FROM n WHERE photos < (SELECT avg(photos) FROM n) ORDER BY class_id

-- Are there photos of equal bytes?
SELECT digest, count(*) AS photos FROM images GROUP BY digest HAVING count(*) > 1 ORDER BY digest

-- How large are the photos, in megabytes?
SELECT split, sum(bytes) / 1e6 AS megabytes, avg(bytes) AS mean, median(bytes) AS median FROM images GROUP BY split ORDER BY split

-- Which are the ten largest files?
SELECT path, bytes FROM images ORDER BY bytes DESC, path LIMIT 10

-- How many photos are wide, tall and square?
SELECT CASE WHEN width > height THEN 'wide' WHEN width < height THEN 'tall' ELSE 'square' END AS shape, count(*) AS n FROM images GROUP BY ALL ORDER BY shape

-- How much narrower than 300 pixels is each width?
SELECT DISTINCT width - 300 AS narrower FROM images ORDER BY narrower

-- What share of the photo is its true box?
SELECT split, avg(box_w * box_h / (width * height)) AS share FROM images GROUP BY split ORDER BY split

-- Which photos have no true box?
SELECT image_id FROM images WHERE box_x IS NULL OR box_w IS NULL ORDER BY image_id

-- Which true boxes leave the photo?
SELECT image_id, box_x + box_w - width AS beyond FROM images WHERE box_x + box_w > width OR box_y + box_h > height ORDER BY image_id

-- Where is the middle of the true boxes, on average?
SELECT round(avg(box_x + box_w / 2), 3) AS x, round(avg(box_y + box_h / 2), 3) AS y FROM images

-- How are the areas of true boxes distributed?
SELECT floor(box_w * box_h / 1000) * 1000 AS from_area, count(*) AS photos FROM images GROUP BY 1 ORDER BY 1

-- Which file endings are there?
SELECT lower(regexp_extract(path, '\.([A-Za-z]+)$', 1)) AS ending, count(*) AS n FROM images GROUP BY ending ORDER BY ending

-- Which folders hold the photos?
SELECT split_part(path, '/', 1) AS folder, count(*) AS n FROM images GROUP BY folder ORDER BY n DESC, folder LIMIT 20

-- Does the folder of each photo name its class?
SELECT count(*) AS photos, count(*) FILTER (WHERE contains(path, class_name)) AS named FROM images

-- Which photos of the first class come first?
SELECT row_number() OVER (ORDER BY image_id) AS place, path FROM images WHERE class_id = (SELECT min(class_id) FROM images) ORDER BY place LIMIT 5

-- What is the first photo of each class?
SELECT class_id, min(image_id) AS first, min_by(path, image_id) AS path FROM images GROUP BY class_id ORDER BY class_id

-- Which photo of each class is the largest?
SELECT DISTINCT ON (class_id) class_id, path, bytes FROM images ORDER BY class_id, bytes DESC, path

-- Which three photos of each novel class are the smallest?
SELECT class_name, path, bytes FROM images WHERE split = 'novel' QUALIFY row_number() OVER (PARTITION BY class_id ORDER BY bytes, path) <= 3 ORDER BY class_name, bytes, path

-- How many bytes have been read up to each class?
SELECT class_id, sum(bytes) AS own, sum(sum(bytes)) OVER (ORDER BY class_id) AS so_far FROM images GROUP BY class_id ORDER BY class_id

-- What percentage of the photos is in each part?
SELECT split, count(*) AS n, 100.0 * count(*) / sum(count(*)) OVER () AS percent FROM images GROUP BY split ORDER BY split

-- How many photos are there in each part, and in all?
SELECT coalesce(split, 'all') AS part, count(*) AS photos FROM images GROUP BY ROLLUP (split) ORDER BY part

-- Do the parts of photos agree with the parts of classes?
SELECT count(*) AS disagreeing FROM images i JOIN splits s USING (class_id) WHERE i.split <> s.part

-- Which classes have no photo?
SELECT s.class_name FROM splits s ANTI JOIN images i USING (class_id) ORDER BY s.class_name

-- How many photos of each class have a crop that fits badly, those without one included?
SELECT s.class_id, count(c.image_id) AS badly FROM splits s LEFT JOIN images i USING (class_id) LEFT JOIN crops c ON c.image_id = i.image_id AND c.iou < 0.3 GROUP BY s.class_id ORDER BY badly DESC, s.class_id

-- Are all photos kept when no crop fits that well?
SELECT count(*) AS rows, count(c.image_id) AS fitting FROM images i LEFT JOIN crops c ON i.image_id = c.image_id AND c.iou > 2.0

-- Which kind of class name is the longest?
SELECT class_name, length(class_name) AS letters FROM splits ORDER BY letters DESC, class_name LIMIT 3

-- Which class names hold a digit?
SELECT class_name FROM splits WHERE class_name SIMILAR TO '.*[0-9].*' ORDER BY class_name

-- Which class names begin alike?
SELECT left(class_name, 2) AS beginning, string_agg(class_name, ', ' ORDER BY class_name) AS names FROM splits GROUP BY beginning HAVING count(*) > 1 ORDER BY beginning

-- What are the names of the novel classes, in one list?
SELECT list(class_name ORDER BY class_name) AS names FROM splits WHERE part = 'novel'

-- Which pairs of novel classes are there?
SELECT a.class_name AS one, b.class_name AS other FROM splits a JOIN splits b ON a.part = b.part AND a.class_id < b.class_id WHERE a.part = 'novel' ORDER BY one, other

-- Which localisers drew boxes?
SELECT DISTINCT node FROM crops ORDER BY node

-- How well does each localiser fit, by part?
SELECT node, split, avg(iou) AS mean, median(iou) AS median FROM crops GROUP BY node, split ORDER BY node, split

-- How often is the intersection over union at least a half?
SELECT node, avg((iou >= 0.5)::INTEGER) AS share FROM crops GROUP BY node ORDER BY share DESC, node

-- How often was the whole photo taken because nothing was found?
SELECT node, count(*) FILTER (WHERE fallback) AS fallbacks, count(*) AS boxes FROM crops GROUP BY node ORDER BY node

-- Is every photo cropped by every localiser?
SELECT node, count(DISTINCT image_id) AS photos, count(*) AS boxes FROM crops GROUP BY node HAVING count(*) <> (SELECT count(*) FROM images)

-- In which photos do two localisers disagree most?
SELECT a.image_id, abs(a.iou - b.iou) AS difference FROM crops a JOIN crops b USING (image_id) WHERE a.node = 'crop' AND b.node = 'crop[source=ddt]' ORDER BY difference DESC, a.image_id LIMIT 10

-- In how many photos does Grad-CAM fit better than the centre box?
SELECT count(*) FILTER (WHERE g.iou > c.iou) AS better, count(*) FILTER (WHERE g.iou < c.iou) AS worse, count(*) AS photos FROM crops g JOIN crops c ON g.image_id = c.image_id AND c.node = 'crop[source=centre-box]' WHERE g.node = 'crop'

-- Which localiser fits each novel photo best?
SELECT node, count(*) AS photos FROM (SELECT image_id, node FROM crops WHERE split = 'novel' AND node NOT LIKE '%oracle%' QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY iou DESC, node) = 1) GROUP BY node ORDER BY photos DESC, node

-- How does the fit depend on the size of the bird?
SELECT ntile AS quarter, avg(iou) AS mean FROM (SELECT c.iou, ntile(4) OVER (ORDER BY i.box_w * i.box_h, i.image_id) FROM crops c JOIN images i USING (image_id) WHERE c.node = 'crop') AS t(iou, ntile) GROUP BY quarter ORDER BY quarter

-- How large are drawn boxes beside true ones?
SELECT c.node, avg(c.box_w * c.box_h) / avg(i.box_w * i.box_h) AS ratio FROM crops c JOIN images i USING (image_id) GROUP BY c.node ORDER BY ratio, c.node

-- Is the column iou what the boxes say?
WITH b AS (SELECT c.iou, greatest(0, least(c.box_x + c.box_w, i.box_x + i.box_w) - greatest(c.box_x, i.box_x)) * greatest(0, least(c.box_y + c.box_h, i.box_y + i.box_h) - greatest(c.box_y, i.box_y)) AS both_px, c.box_w * c.box_h + i.box_w * i.box_h AS sum_px FROM crops c JOIN images i USING (image_id)) SELECT count(*) AS boxes, max(abs(iou - both_px / (sum_px - both_px))) < 1e-3 AS agrees FROM b

-- How is the fit distributed?
SELECT least(floor(iou * 10), 9) / 10 AS from_iou, count(*) AS boxes FROM crops WHERE node = 'crop' GROUP BY 1 ORDER BY 1

-- Which quantiles does the fit have?
SELECT node, quantile_cont(iou, [0.1, 0.5, 0.9]) AS deciles FROM crops GROUP BY node ORDER BY node

-- Which base class does Grad-CAM see in novel photos most often?
SELECT s.class_name, count(*) AS photos FROM crops c JOIN splits s ON s.class_id = c.cam_class_id WHERE c.split = 'novel' GROUP BY s.class_name ORDER BY photos DESC, s.class_name LIMIT 5

-- How often does the map belong to the right class on base photos?
SELECT c.node, avg(CASE WHEN c.cam_class_id = i.class_id THEN 1.0 ELSE 0.0 END) AS share FROM crops c JOIN images i USING (image_id) WHERE c.split = 'base' AND c.cam_class_id IS NOT NULL GROUP BY c.node ORDER BY c.node

-- Do maps with a high peak fit better?
SELECT corr(cam_peak, iou) AS correlation, regr_slope(iou, cam_peak) AS slope FROM crops WHERE cam_peak IS NOT NULL AND node = 'crop'

-- How many boxes have no map?
SELECT node, count(*) - count(cam_peak) AS without FROM crops GROUP BY node ORDER BY node

-- Which boxes touch the edge of the photo?
SELECT c.node, count(*) AS touching FROM crops c JOIN images i USING (image_id) WHERE c.box_x <= 0 OR c.box_y <= 0 OR c.box_x + c.box_w >= i.width OR c.box_y + c.box_h >= i.height GROUP BY c.node ORDER BY c.node

-- Which boxes are smaller than 30 pixels?
SELECT node, count(*) AS small FROM crops WHERE least(box_w, box_h) < 3e1 GROUP BY node ORDER BY small DESC, node

-- Which novel classes are localised worst?
SELECT i.class_name, avg(c.iou) AS mean FROM crops c JOIN images i USING (image_id) WHERE c.node = 'crop' AND i.split = 'novel' GROUP BY i.class_name ORDER BY mean, i.class_name LIMIT 3

-- How do localisers compare, one column for each part?
SELECT * FROM (PIVOT (SELECT node, split, iou FROM crops) ON split IN ('base', 'val', 'novel') USING avg(iou) GROUP BY node) ORDER BY node

-- Which rows were measured?
SELECT node, method, levels, k_shot, accuracy FROM results ORDER BY node

-- Which method is the best with one shot?
SELECT method, levels, image_source, accuracy FROM results WHERE k_shot = 1 ORDER BY accuracy DESC, node LIMIT 1

-- Which row has the highest accuracy of all?
SELECT node, accuracy FROM results WHERE accuracy = (SELECT max(accuracy) FROM results) ORDER BY node

-- Which method is the best in each number of shots?
SELECT k_shot, max_by(node, accuracy) AS best, max(accuracy) AS accuracy FROM results GROUP BY k_shot ORDER BY k_shot

-- How do the methods rank?
SELECT method FROM results GROUP BY method ORDER BY avg(accuracy) DESC, method

-- What do more shots add?
SELECT a.method, a.levels, a.image_source, a.training_seed, b.accuracy - a.accuracy AS gain FROM results a JOIN results b ON a.k_shot = 1 AND b.k_shot = 5 AND replace(a.node, 'k_shot=1', '') = replace(b.node, 'k_shot=5', '') ORDER BY gain DESC, a.node

-- How large is the spread between training seeds?
SELECT levels, image_source, k_shot, count(*) AS seeds, avg(accuracy) AS mean, stddev_samp(accuracy) AS spread FROM results WHERE method = 'mlsm' GROUP BY ALL ORDER BY levels, image_source, k_shot

-- Does the object level help, seed by seed?
SELECT o.training_seed, o.k_shot, o.accuracy - g.accuracy AS gain FROM results o JOIN results g USING (training_seed, k_shot) WHERE o.levels = 'I+G+O' AND o.image_source = 'grad-cam' AND o.method = 'mlsm' AND g.levels = 'I+G' ORDER BY o.training_seed, o.k_shot

-- Which rows are better than their neighbour by more than its interval?
SELECT node, accuracy - lag(accuracy) OVER (PARTITION BY k_shot ORDER BY accuracy, node) > ci95 AS ahead FROM results ORDER BY k_shot, accuracy, node

-- What are the accuracies as percentages for a table in a paper?
SELECT method, levels, k_shot, format('{:.2f} ± {:.2f}', 100 * avg(accuracy), 100 * avg(ci95)) AS percent FROM results GROUP BY ALL ORDER BY ALL

-- How do one and five shots compare, side by side?
SELECT * FROM (PIVOT (SELECT method, levels, image_source, k_shot, accuracy FROM results) ON k_shot IN (1, 5) USING avg(accuracy) GROUP BY method, levels, image_source) ORDER BY method, levels, image_source

-- Which rows beat raw pixels?
SELECT r.node FROM results r WHERE r.accuracy > ALL (SELECT p.accuracy FROM results p WHERE p.method = 'pixels') ORDER BY r.node

-- Which accuracy is above chance, and by how much?
SELECT node, accuracy - 1 / n_way AS above FROM results ORDER BY above, node

-- How many photos were classified in all?
SELECT sum(episodes * n_way * n_query) AS photos FROM results

-- How far is each row from the figure of the paper?
SELECT node, accuracy - paper_accuracy AS difference FROM results ORDER BY node

-- Which rows were trained, and which only measured?
SELECT loss = '' AS untrained, count(*) AS rows, list(DISTINCT method ORDER BY method) AS methods FROM results GROUP BY untrained ORDER BY untrained

-- Which settings do all rows share?
SELECT count(DISTINCT n_way) AS ways, count(DISTINCT n_query) AS queries, count(DISTINCT protocol) AS protocols, count(DISTINCT dataset) AS datasets FROM results

-- Which backbones are used, and how wide are they?
SELECT backbone, width, count(*) AS rows FROM results GROUP BY backbone, width ORDER BY backbone, width

-- What is one way fewer than the shots?
SELECT min(k_shot - n_way - 1) AS least FROM results

-- Which rows are controls?
SELECT node FROM results WHERE image_source IN ('centre-box', 'whole-twice', 'oracle-box') ORDER BY node

-- Is the accuracy of a row the mean of its episodes?
SELECT count(*) AS rows, max(abs(r.accuracy - e.mean)) < 1e-9 AS agrees FROM results r JOIN (SELECT node, avg(accuracy) AS mean FROM episodes GROUP BY node) e USING (node)

-- Which rows have no episodes?
SELECT node FROM results EXCEPT SELECT node FROM episodes ORDER BY node

-- Which nodes are in results and in training?
SELECT node FROM results INTERSECT SELECT node FROM training ORDER BY node

-- Which names of nodes does the store know?
SELECT node FROM nodes UNION SELECT node FROM training UNION SELECT node FROM crops ORDER BY node

-- How many episodes has each row?
SELECT node, count(*) AS episodes, count(DISTINCT episode) AS indices FROM episodes GROUP BY node ORDER BY node

-- How are the accuracies of episodes distributed?
SELECT round(accuracy, 1) AS about, count(*) AS episodes FROM episodes GROUP BY about ORDER BY about

-- Which episodes are the hardest over all methods?
SELECT k_shot, episode, avg(accuracy) AS mean FROM episodes GROUP BY k_shot, episode ORDER BY mean, k_shot, episode LIMIT 10

-- Which episodes does every row solve to more than nine tenths?
SELECT k_shot, episode FROM episodes GROUP BY k_shot, episode HAVING min(accuracy) > 0.9 ORDER BY k_shot, episode

-- What is the difference of two rows on the same episodes, with its interval?
WITH d AS (SELECT a.accuracy - b.accuracy AS d FROM episodes a JOIN episodes b USING (episode_seed, n_way, k_shot, episode) WHERE a.node = 'evaluate:cl2n-conv[k_shot=1]' AND b.node = 'evaluate:pixels[k_shot=1]') SELECT avg(d) AS mean, 1.96 * stddev_samp(d) / sqrt(count(*)) AS ci95, count(*) AS episodes FROM d

-- In how many episodes does one row beat the other?
SELECT sign(a.accuracy - b.accuracy) AS sign, count(*) AS episodes FROM episodes a JOIN episodes b USING (k_shot, episode) WHERE a.node = 'evaluate:cl2n-conv[k_shot=5]' AND b.node = 'evaluate:cl2n-conv+grad-cam[k_shot=5]' GROUP BY sign ORDER BY sign

-- Do all rows of one number of shots see the same photos?
SELECT k_shot, episode, count(DISTINCT support_ids) AS supports FROM episodes GROUP BY k_shot, episode HAVING count(DISTINCT support_ids) > 1 ORDER BY k_shot, episode LIMIT 5

-- How many photos does an episode show, and ask?
SELECT DISTINCT k_shot, len(support_ids) AS shown, len(query_ids) AS asked FROM episodes ORDER BY k_shot

-- Does a photo ever appear on both sides of an episode?
SELECT count(*) AS leaking FROM episodes WHERE len(list_intersect(support_ids, query_ids)) > 0

-- Which photos are drawn most often as labelled ones?
SELECT image_id, count(*) AS times FROM (SELECT unnest(support_ids) AS image_id FROM episodes WHERE node = 'evaluate:pixels[k_shot=5]') GROUP BY image_id ORDER BY times DESC, image_id LIMIT 10

-- Are all photos of episodes novel?
SELECT i.split, count(*) AS photos FROM (SELECT DISTINCT unnest(query_ids) AS image_id FROM episodes) q JOIN images i USING (image_id) GROUP BY i.split ORDER BY i.split

-- Which classes does the first episode show?
SELECT i.class_name, list(u.image_id ORDER BY u.image_id) AS photos FROM (SELECT unnest(support_ids) AS image_id FROM episodes WHERE node = 'evaluate:pixels[k_shot=5]' AND episode = 0) u JOIN images i USING (image_id) GROUP BY i.class_name ORDER BY i.class_name

-- What is the running mean of a row's accuracy over its episodes?
SELECT episode, avg(accuracy) OVER (ORDER BY episode) AS so_far FROM episodes WHERE node = 'evaluate:cl2n-conv[k_shot=1]' ORDER BY episode

-- How much does the mean of ten episodes vary?
SELECT episode // 10 AS ten, avg(accuracy) AS mean FROM episodes WHERE node = 'evaluate:cl2n-conv[k_shot=1]' GROUP BY ten ORDER BY ten

-- What is the longest streak of episodes above a half?
WITH marked AS (SELECT episode, episode - row_number() OVER (ORDER BY episode) AS streak FROM episodes WHERE node = 'evaluate:cl2n-conv[k_shot=1]' AND accuracy > 0.5) SELECT count(*) AS length, min(episode) AS first FROM marked GROUP BY streak ORDER BY length DESC, first LIMIT 1

-- How many predictions are there, and how many are right?
SELECT count(*) AS n, count(*) FILTER (WHERE class_id = predicted_class_id) AS right_ones FROM predictions

-- Is the accuracy of a row what its predictions say?
SELECT r.node, r.accuracy - p.share AS difference FROM results r JOIN (SELECT node, avg((class_id = predicted_class_id)::INTEGER) AS share FROM predictions GROUP BY node) p USING (node) WHERE abs(r.accuracy - p.share) > 1e-9 ORDER BY r.node

-- Which novel photos are most often taken for another class?
SELECT i.path, avg((p.class_id <> p.predicted_class_id)::INTEGER) AS share, count(*) AS times FROM predictions p JOIN images i USING (image_id) GROUP BY i.path ORDER BY share DESC, i.path LIMIT 10

-- Which novel class is the hardest?
SELECT s.class_name, avg(CASE WHEN p.class_id = p.predicted_class_id THEN 1 ELSE 0 END) AS recall FROM predictions p JOIN splits s USING (class_id) GROUP BY s.class_name ORDER BY recall, s.class_name

-- What is the precision of each class?
SELECT s.class_name, count(*) FILTER (WHERE p.class_id = p.predicted_class_id) / count(*) AS precision FROM predictions p JOIN splits s ON s.class_id = p.predicted_class_id GROUP BY s.class_name ORDER BY s.class_name

-- What is the confusion matrix of one row?
SELECT class_id, predicted_class_id, count(*) AS n FROM predictions WHERE node = 'evaluate:cl2n-conv[k_shot=5]' GROUP BY class_id, predicted_class_id ORDER BY class_id, predicted_class_id

-- Which confusions go both ways?
WITH n AS (SELECT class_id AS a, predicted_class_id AS b, count(*) AS n FROM predictions WHERE class_id <> predicted_class_id GROUP BY 1, 2) SELECT x.a, x.b, x.n + y.n AS both_ways FROM n x JOIN n y ON x.a = y.b AND x.b = y.a AND x.a < x.b ORDER BY both_ways DESC, x.a, x.b LIMIT 5

-- Does the largest score name the predicted class?
SELECT count(*) AS n FROM predictions WHERE node = 'evaluate:cl2n-conv[k_shot=1]' AND list_max(scores) IS NULL

-- How sure are right and wrong predictions?
SELECT class_id = predicted_class_id AS is_right, avg(list_max(scores) - list_sort(scores, 'DESC')[2]) AS margin FROM predictions WHERE node = 'evaluate:cl2n-conv[k_shot=1]' GROUP BY is_right ORDER BY is_right

-- How many scores has a prediction?
SELECT len(scores) AS scores, count(*) AS n FROM predictions GROUP BY 1 ORDER BY 1

-- What are the first predictions of an episode?
SELECT image_id, class_id, predicted_class_id, scores FROM predictions WHERE node = 'evaluate:pixels[k_shot=1]' AND episode = 0 ORDER BY image_id

-- Where do two rows disagree most about a photo?
SELECT a.image_id, count(*) AS times FROM predictions a JOIN predictions b ON a.image_id = b.image_id AND a.episode = b.episode AND a.predicted_class_id <> b.predicted_class_id WHERE a.node = 'evaluate:cl2n-conv[k_shot=1]' AND b.node = 'evaluate:cl2n-conv+ddt[k_shot=1]' GROUP BY a.image_id ORDER BY times DESC, a.image_id LIMIT 5

-- Are photos with a badly fitting box classified worse?
SELECT floor(c.iou * 4) / 4 AS from_iou, avg((p.class_id = p.predicted_class_id)::INTEGER) AS share, count(*) AS n FROM predictions p JOIN crops c ON c.image_id = p.image_id AND c.node = 'crop' WHERE p.node = 'evaluate:cl2n-conv+grad-cam[k_shot=1]' GROUP BY 1 ORDER BY 1

-- Which photos were never asked?
SELECT i.image_id FROM images i WHERE i.split = 'novel' AND NOT EXISTS (SELECT 1 FROM predictions p WHERE p.image_id = i.image_id) ORDER BY i.image_id

-- How many embeddings are there of each kind?
SELECT node, source, object, count(*) AS n FROM features GROUP BY ALL ORDER BY node, source, object NULLS FIRST

-- How long are embeddings?
SELECT dim, min(len(embedding)) AS shortest, max(len(embedding)) AS longest FROM features GROUP BY dim ORDER BY dim

-- What is the norm of the first embeddings?
SELECT image_id, sqrt(list_dot_product(embedding, embedding)) AS norm FROM features WHERE source = 'image' ORDER BY image_id LIMIT 10

-- Is any value of an embedding not a number?
SELECT count(*) AS bad FROM features WHERE source = 'image' AND len(list_filter(embedding, x -> isnan(x) OR isinf(x))) > 0

-- How many values of an embedding are zero?
SELECT image_id, len(list_filter(embedding, x -> x = 0)) AS zeros FROM features WHERE object = 'grad-cam' ORDER BY zeros DESC, image_id LIMIT 5

-- How far is the object from the whole photo?
SELECT o.object, avg(list_cosine_similarity(o.embedding, w.embedding)) AS similarity FROM features o JOIN features w USING (image_id) WHERE o.source = 'object' AND w.source = 'image' AND o.split = 'novel' GROUP BY o.object ORDER BY o.object

-- Are photos of one class closer than others?
WITH few AS (SELECT * FROM features WHERE source = 'image' AND split = 'novel' AND image_id % 8 = 0) SELECT a.class_id = b.class_id AS same, avg(list_cosine_similarity(a.embedding, b.embedding)) AS similarity FROM few a JOIN few b ON a.image_id < b.image_id GROUP BY same ORDER BY same

-- Which novel photo is the odd one of its class?
WITH few AS (SELECT * FROM features WHERE source = 'image' AND split = 'novel') SELECT a.image_id, avg(list_cosine_similarity(a.embedding, b.embedding)) AS similarity FROM few a JOIN few b ON a.class_id = b.class_id AND a.image_id <> b.image_id GROUP BY a.image_id ORDER BY similarity, a.image_id LIMIT 5

-- Which photos have no embedding of their object?
SELECT count(*) AS photos FROM images i WHERE i.image_id NOT IN (SELECT image_id FROM features WHERE object = 'grad-cam')

-- What are the first values of an embedding?
SELECT image_id, embedding[1:4] AS first FROM features WHERE source = 'image' ORDER BY image_id LIMIT 5

-- What is the first value, at full length?
SELECT image_id, embedding[1]::DOUBLE AS value, embedding[1]::VARCHAR AS shown FROM features WHERE source = 'image' ORDER BY image_id LIMIT 5

-- When did runs start, and how long did they take?
SELECT run_id, started, finished - started AS took, outcome FROM runs ORDER BY started, run_id

-- How many runs were there each day?
SELECT CAST(started AS DATE) AS day, count(*) AS runs FROM runs GROUP BY day ORDER BY day

-- At which hour do runs start?
SELECT extract(hour FROM started) AS hour, count(*) AS runs FROM runs GROUP BY hour ORDER BY hour

-- Which runs of the last year failed?
SELECT run_id FROM runs WHERE outcome <> 'ok' AND started > TIMESTAMP '2026-11-29' - INTERVAL 1 YEAR ORDER BY run_id

-- How many seconds did each run take?
SELECT run_id, epoch(finished - started) AS seconds, date_diff('minute', started, finished) AS minutes FROM runs ORDER BY run_id

-- Which weekday was the last run on?
SELECT dayname(max(started)) AS day, strftime(max(started), '%d.%m.%Y') AS date FROM runs

-- Which configurations ran, with which version?
SELECT config, version, device, count(*) AS runs, max(started) AS last FROM runs GROUP BY ALL ORDER BY ALL

-- Which runs had the same configuration as the last one?
SELECT run_id FROM runs WHERE config_digest = (SELECT config_digest FROM runs ORDER BY started DESC LIMIT 1) ORDER BY run_id

-- How much time passed between runs?
SELECT run_id, started - lag(finished) OVER (ORDER BY started) AS idle FROM runs ORDER BY run_id

-- How long did each stage take?
SELECT stage, count(*) AS nodes, sum(seconds) AS seconds FROM nodes GROUP BY stage ORDER BY seconds DESC, stage

-- Which nodes took the longest?
SELECT node, seconds FROM nodes ORDER BY seconds DESC, node LIMIT 10

-- Which stages take nine tenths of the time?
WITH s AS (SELECT stage, sum(seconds) AS seconds FROM nodes GROUP BY stage), r AS (SELECT stage, sum(seconds) OVER (ORDER BY seconds DESC, stage) / sum(seconds) OVER () AS share FROM s) SELECT stage, share FROM r WHERE share <= 0.9 ORDER BY share, stage

-- How much of a run was reused?
SELECT run_id, outcome, count(*) AS nodes FROM nodes GROUP BY run_id, outcome ORDER BY run_id, outcome

-- Why were nodes executed?
SELECT reason, count(*) AS nodes FROM nodes WHERE reason <> '' GROUP BY reason ORDER BY nodes DESC, reason

-- Which nodes did not finish?
SELECT run_id, node, outcome FROM nodes WHERE fingerprint = '' OR outcome IN ('failed', 'skipped', 'cancelled') ORDER BY run_id, node

-- Are fingerprints as long as they should be?
SELECT length(fingerprint) AS letters, count(*) AS nodes FROM nodes GROUP BY letters ORDER BY letters

-- Do two nodes share a fingerprint?
SELECT fingerprint FROM nodes GROUP BY run_id, fingerprint HAVING count(*) > 1 ORDER BY fingerprint

-- How long did a run take beside the sum of its nodes?
SELECT r.run_id, epoch(r.finished - r.started) AS wall, sum(n.seconds) AS nodes FROM runs r LEFT JOIN nodes n USING (run_id) GROUP BY ALL ORDER BY r.run_id

-- What did a point of accuracy cost?
SELECT r.node, n.seconds / nullif(r.accuracy * 100, 0) AS seconds FROM results r JOIN nodes n ON n.node = r.node AND n.run_id = (SELECT max(run_id) FROM runs) ORDER BY r.node

-- Which metrics are measured in training?
SELECT metric, split, count(*) AS n FROM training GROUP BY metric, split ORDER BY metric, split

-- How does the loss fall?
SELECT node, step, value FROM training WHERE metric = 'loss' ORDER BY node, step

-- What was the last loss of each training?
SELECT node, arg_max(value, step) AS last, min(value) AS least FROM training WHERE metric = 'loss' GROUP BY node ORDER BY node

-- At which step was validation best?
SELECT node, step, value FROM training WHERE metric = 'accuracy_1_shot' QUALIFY row_number() OVER (PARTITION BY node ORDER BY value DESC, step) = 1 ORDER BY node

-- By how much does the loss change from one measurement to the next?
SELECT node, step, value - lag(value) OVER (PARTITION BY node ORDER BY step) AS change FROM training WHERE metric = 'loss' ORDER BY node, step

-- Is any value of a training not a number?
SELECT count(*) AS bad FROM training WHERE isnan(value) OR isinf(value)

-- What is the moving mean of the base network's accuracy?
SELECT split, step, avg(value) OVER (PARTITION BY split ORDER BY step ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS mean FROM training WHERE node = 'train-base:conv' AND metric = 'accuracy' ORDER BY split, step

-- How much does the base network overfit?
SELECT a.step, a.value - b.value AS gap FROM training a JOIN training b USING (node, step, metric) WHERE a.split = 'base' AND b.split = 'base-held-out' AND metric = 'accuracy' ORDER BY a.step

-- Does validation promise what novel classes keep?
SELECT r.node, r.accuracy, t.best FROM results r JOIN (SELECT node, max(value) AS best FROM training WHERE metric = 'accuracy_1_shot' GROUP BY node) t ON replace(t.node, 'meta-train:', 'evaluate:') = replace(r.node, ',k_shot=1', '') ORDER BY r.node

-- How many steps was each node trained?
SELECT node, max(step) AS steps, count(DISTINCT step) AS measurements FROM training GROUP BY node ORDER BY node

-- Which seeds and levels are in the names of nodes?
SELECT DISTINCT regexp_extract(node, 'seed=([0-9]+)', 1) AS seed, regexp_extract(node, 'levels=([A-Z+]+)', 1) AS levels FROM nodes WHERE stage = 'meta-train' ORDER BY seed, levels

-- How many rows has each table?
SELECT 'images' AS name, count(*) AS n FROM images UNION ALL SELECT 'crops', count(*) FROM crops UNION ALL SELECT 'predictions', count(*) FROM predictions ORDER BY name

-- What is a division by zero?
SELECT 1 / 0 AS none, 0.0 / 0 AS also_none, 5 % 0 AS rest

-- Are whole numbers divided as whole ones?
SELECT 7 / 2 AS ratio, 7 // 2 AS whole, -7 // 2 AS below, -7 % 3 AS rest

-- Does a sum of tenths stay exact?
SELECT sum(0.1) AS exact, sum(0.1::DOUBLE) AS not_exact FROM range(10)

-- Which digits does a large decimal keep?
SELECT 123456789012345678.91 AS kept, 0.1::DECIMAL(18, 17) AS small

-- Do large whole numbers keep their digits?
SELECT 9007199254740993 AS odd, max(image_id) + 9007199254740992 AS more FROM images

-- What is three counted without a sign, less four?
SELECT 3::UTINYINT::INTEGER - 4 AS less, (SELECT min(n_way - 10) FROM results) AS least

-- How is NULL compared?
SELECT NULL = NULL AS equal, NULL IS NOT DISTINCT FROM NULL AS same, NULL IN (1, NULL) AS among, 1 NOT IN (2, NULL) AS out

-- How are NULL and empty text told apart?
SELECT object IS NULL AS missing, object = '' AS empty, count(*) AS n FROM features GROUP BY ALL ORDER BY missing, n

-- Where does NULL come in an order?
SELECT DISTINCT object FROM features ORDER BY object DESC NULLS LAST

-- What does a count skip?
SELECT count(*) AS rows, count(object) AS objects, count(DISTINCT object) AS kinds FROM features

-- What is an empty sum, and an empty count?
SELECT sum(bytes) AS total, count(*) AS n, max(path) AS last, avg(width) AS mean FROM images WHERE false

-- What is left of a table when nothing fits?
SELECT * FROM results WHERE accuracy > 1 ORDER BY node

-- How does LIKE take its own signs?
SELECT count(*) FILTER (WHERE node LIKE '%k\_shot=1]' ESCAPE '\') AS one, count(*) FILTER (WHERE node LIKE '%[k%') AS bracket FROM results

-- Is the order of capital letters kept?
SELECT v FROM (VALUES ('b'), ('A'), ('a'), ('B'), ('ä'), ('')) AS t(v) ORDER BY v

-- Are names in other alphabets kept?
SELECT 'Zilpzalp – ' || chr(128038) AS name, upper('größe') AS large, length('鳥鳥') AS letters, 'a''b"c' AS quotes

-- Is text with ends of lines and separators kept?
SELECT 'a,b' || chr(10) || '"c";' || chr(9) || 'd' AS mixed, ' kept ' AS spaces, '' AS empty, 'NULL' AS word

-- What are columns of one name called?
SELECT 1 AS n, 2 AS n, 3 AS "N", 4 AS n_1

-- What are columns without a name called?
SELECT count(*), max(bytes) - min(bytes), 'x' FROM images

-- Which columns begin with box?
SELECT COLUMNS('box_.*') FROM images ORDER BY ALL LIMIT 5

-- Which columns are left without some?
SELECT * EXCLUDE (node, protocol, dataset) REPLACE (round(accuracy, 3) AS accuracy) FROM results ORDER BY node LIMIT 5

-- What is the first novel class, as one value?
SELECT (SELECT class_name FROM splits WHERE part = 'novel' ORDER BY class_id LIMIT 1) AS first

-- What are box corners, as one value?
SELECT image_id, {'left': box_x, 'top': box_y, 'right': box_x + box_w} AS box FROM images ORDER BY image_id LIMIT 5

-- What are the photos of each part, as a list of structures?
SELECT split, list({'id': image_id, 'w': width} ORDER BY image_id)[1:3] AS first FROM images GROUP BY split ORDER BY split

-- How many rows of each part, as a map?
SELECT map_from_entries(list((split, n) ORDER BY split)) AS photos FROM (SELECT split, count(*) AS n FROM images GROUP BY split)

-- Which numbers are missing between the ids of photos?
SELECT r.range AS missing FROM range((SELECT min(image_id) FROM images), (SELECT max(image_id) FROM images)) r ANTI JOIN images i ON i.image_id = r.range ORDER BY missing LIMIT 5

-- What is a cumulative distribution of file sizes?
SELECT k, count(*) FILTER (WHERE bytes <= k * 1000) AS up_to FROM images, range(10, 20) AS t(k) GROUP BY k ORDER BY k

-- Which days does a week from the first run have?
SELECT (day::DATE)::VARCHAR AS day FROM (SELECT unnest(generate_series(date_trunc('day', min(started)), date_trunc('day', min(started)) + INTERVAL 6 DAY, INTERVAL 1 DAY)) AS day FROM runs) ORDER BY day

-- How does a chain of levels unfold?
WITH RECURSIVE chain(n, text) AS (SELECT 1, 'I' UNION ALL SELECT n + 1, text || '+' || ['I', 'G', 'O'][n + 1] FROM chain WHERE n < 3) SELECT n, text FROM chain ORDER BY n

-- Which rows of results lie within a tenth of each other?
SELECT a.node, count(*) AS near FROM results a JOIN results b ON b.accuracy BETWEEN a.accuracy - 0.1 AND a.accuracy + 0.1 AND a.node <> b.node GROUP BY a.node ORDER BY near DESC, a.node

-- Which parts have more than a hundred photos, and which do not?
SELECT split FROM images GROUP BY split HAVING split <> 'base' ORDER BY split

-- What is the share of each part within each shape of photos?
SELECT split, width, count(*) AS n, ratio FROM (SELECT split, width, count(*) OVER (PARTITION BY width) / count(*) OVER () AS ratio FROM images) GROUP BY ALL ORDER BY ALL

-- Which photos have a bytes count far from the mean?
SELECT image_id, (bytes - avg(bytes) OVER ()) / stddev_samp(bytes) OVER () AS z FROM images QUALIFY abs(z) > 3 ORDER BY image_id

-- How many photos have ids below a thousand?
SELECT count(*) AS n FROM images WHERE image_id - 1000 < 0

-- Which outcome do most nodes have?
SELECT mode(outcome) AS usual, count(DISTINCT outcome) AS kinds FROM nodes

-- Is every class of a crop known?
SELECT count(*) AS unknown FROM crops c LEFT JOIN splits s ON c.cam_class_id = s.class_id WHERE c.cam_class_id IS NOT NULL AND s.class_id IS NULL

-- Do photos and crops agree, those of one side alone included?
SELECT count(*) AS rows, count(i.image_id) AS photos, count(c.image_id) AS crops FROM images i FULL JOIN crops c ON i.image_id = c.image_id AND c.node = 'crop' AND i.split = 'val'

-- Which hash does a name have?
SELECT class_name, md5(class_name) AS hash, hash(class_name) % 1000 AS bucket FROM splits ORDER BY class_name

-- Which number does a name hash to?
SELECT class_name, hash(class_name) AS hash FROM splits ORDER BY class_name

-- Which photos would a sample of a tenth hold?
SELECT image_id FROM images WHERE hash(image_id) % 10 = 0 ORDER BY image_id

-- What are the extremes of each numeric column of crops?
SELECT min(box_x) AS x0, max(box_x) AS x1, min(box_y) AS y0, max(box_y) AS y1, min(iou) AS i0, max(iou) AS i1 FROM crops

-- Unpivoted, what are the accuracy and its interval?
SELECT node, name, value FROM (UNPIVOT (SELECT node, accuracy, ci95 FROM results) ON accuracy, ci95 INTO NAME name VALUE value) ORDER BY node, name
