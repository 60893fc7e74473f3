WITH known AS (
    SELECT *, CAST(ordered_at AS DATE) AS day, hour(ordered_at) AS hour, NOT is_return AS bought
    FROM {lines} WHERE ordered_at < TIMESTAMP '{as_of}'
), placed AS (SELECT * FROM known WHERE bought),
by_day AS (
    SELECT customer_id, day, count(*) FILTER (bought) AS lines, count(DISTINCT order_id) FILTER (bought) AS orders,
        sum(amount) AS net, coalesce(sum(amount) FILTER (bought), 0) AS gross,
        -coalesce(sum(amount) FILTER (NOT bought), 0) AS returned,
        coalesce(sum(quantity) FILTER (bought), 0) AS items, coalesce(sum(discount) FILTER (bought), 0) AS discounts,
        count(*) FILTER (bought AND discount > 0) AS discounted_lines,
        coalesce(sum(amount) FILTER (bought AND discount > 0), 0) AS discounted_spend,
        count(*) FILTER (bought AND hour < 6) AS night, count(*) FILTER (bought AND hour BETWEEN 6 AND 11) AS morning,
        count(*) FILTER (bought AND hour BETWEEN 12 AND 17) AS afternoon, count(*) FILTER (bought AND hour >= 18) AS evening
    FROM known GROUP BY ALL
), gaps AS (
    SELECT *, CASE WHEN lines > 0 THEN date_diff('day', lag(CASE WHEN lines > 0 THEN day END IGNORE NULLS)
        OVER (PARTITION BY customer_id ORDER BY day), day) END AS gap FROM by_day
), in_time AS (
    SELECT customer_id, min(day) FILTER (lines > 0) AS first_day, max(day) FILTER (lines > 0) AS last_day,
        count(*) FILTER (lines > 0) AS days, sum(net) AS net, sum(gross) AS gross, sum(returned) AS returned,
        sum(items) AS items, sum(discounts) AS discounts, sum(discounted_lines) AS discounted_lines,
        sum(discounted_spend) AS discounted_spend, sum(lines) AS lines, sum(night) AS night, sum(morning) AS morning,
        sum(afternoon) AS afternoon, sum(evening) AS evening,
        sum(lines) FILTER (dayofweek(day) IN (0, 6)) AS weekend, sum(lines) FILTER (month(day) IN (12, 1, 2)) AS winter,
        sum(lines) FILTER (month(day) BETWEEN 3 AND 5) AS spring, sum(lines) FILTER (month(day) BETWEEN 6 AND 8) AS summer,
        sum(lines) FILTER (month(day) BETWEEN 9 AND 11) AS autumn,
        sum(gap * gap) AS gap_squares, sum(ln(gap)) AS gap_logs, sum(gap * ln(gap)) AS gap_entropy,
        sum(gross) FILTER (day >= DATE '{as_of}' - 30) AS spend_short, sum(gross) FILTER (day >= DATE '{as_of}' - 90) AS spend_medium,
        sum(gross) FILTER (day >= DATE '{as_of}' - 365) AS spend_long,
        sum(gross) FILTER (day BETWEEN DATE '{as_of}' - 60 AND DATE '{as_of}' - 31) AS before_short,
        sum(gross) FILTER (day BETWEEN DATE '{as_of}' - 180 AND DATE '{as_of}' - 91) AS before_medium,
        sum(gross) FILTER (day BETWEEN DATE '{as_of}' - 730 AND DATE '{as_of}' - 366) AS before_long,
        sum(orders) FILTER (day >= DATE '{as_of}' - 30) AS orders_short, sum(orders) FILTER (day >= DATE '{as_of}' - 90) AS orders_medium,
        sum(orders) FILTER (day >= DATE '{as_of}' - 365) AS orders_long
    FROM gaps GROUP BY customer_id HAVING days > 0
), orders AS (
    SELECT customer_id, count(*) AS orders, count(*) FILTER (coupons > 0) AS coupon_orders
    FROM (SELECT customer_id, order_id, count(*) FILTER (coupon > 0) AS coupons FROM placed GROUP BY ALL) GROUP BY ALL
), products AS (
    SELECT customer_id, count(*) AS products, sum(lines) AS product_lines
    FROM (SELECT customer_id, product_id, count(*) AS lines FROM placed WHERE product_id IS NOT NULL GROUP BY ALL) GROUP BY ALL
), by_category AS (
    SELECT customer_id, category, sum(amount)::DOUBLE AS x, sum(quantity)::DOUBLE AS q FROM placed
    WHERE category IS NOT NULL GROUP BY ALL
), prices AS (
    SELECT category, sum(x) / sum(q) AS price FROM by_category GROUP BY ALL
), categories AS (
    SELECT customer_id, count(*) AS categories, sum(x) AS category_spend, max(x) AS category_top, sum(x * ln(x)) AS category_logs,
        sum(q * price) AS at_average_prices,
        sum(x) FILTER (place <= 3) AS top_three, arg_max(category, x) AS first,
        max(category) FILTER (place = 2) AS second, max(category) FILTER (place = 3) AS third
    FROM (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY x DESC) AS place FROM by_category)
    JOIN prices USING (category) GROUP BY ALL
), brands AS (
    SELECT customer_id, count(*) AS brands, sum(x) AS brand_spend, max(x) AS brand_top, sum(x * x) AS brand_squares
    FROM (SELECT customer_id, brand, sum(amount)::DOUBLE AS x FROM placed WHERE brand IS NOT NULL GROUP BY ALL) GROUP BY ALL
), channels AS (
    SELECT customer_id, count(*) AS channels, sum(x) AS channel_spend, max(x) AS channel_top
    FROM (SELECT customer_id, channel, sum(amount)::DOUBLE AS x FROM placed WHERE channel IS NOT NULL GROUP BY ALL) GROUP BY ALL
), stores AS (
    SELECT customer_id, count(*) AS stores, sum(x) AS store_spend, max(x) AS store_top
    FROM (SELECT customer_id, store_id, sum(amount)::DOUBLE AS x FROM placed WHERE store_id IS NOT NULL GROUP BY ALL) GROUP BY ALL
)
SELECT customer_id, date_diff('day', last_day, DATE '{as_of}') AS recency_days, orders AS frequency, net AS monetary,
    date_diff('day', first_day, DATE '{as_of}') AS tenure_days, days AS active_days,
    date_diff('day', first_day, last_day) / nullif(days - 1, 0) AS days_between_orders,
    sqrt(greatest(0, (gap_squares - date_diff('day', first_day, last_day) ** 2 / nullif(days - 1, 0)) / nullif(days - 2, 0))) AS gap_deviation,
    ln(date_diff('day', first_day, last_day) / nullif(days - 1, 0)) - gap_logs / nullif(days - 1, 0) AS log_spread, gap_entropy,
    gross / orders AS average_order_value, items / orders AS items_per_order, products, product_lines, categories,
    ln(category_spend) - category_logs / category_spend AS category_entropy, category_top / category_spend AS top_category_share,
    top_three / category_spend AS top_categories_share, first, second, third,
    category_spend / at_average_prices AS price_level,
    brands, brand_squares / brand_spend ** 2 AS brand_concentration, brand_top / brand_spend AS brand_loyalty,
    discounts / nullif(gross + discounts, 0) AS discount_rate, discounted_lines / lines AS discounted_share,
    coupon_orders / orders AS coupon_rate, gross / nullif(items, 0) AS average_item_price, returned / nullif(gross, 0) AS return_rate,
    weekend / lines AS weekend_share, night / lines AS night_share, morning / lines AS morning_share,
    afternoon / lines AS afternoon_share, evening / lines AS evening_share, spring / lines AS spring_share,
    summer / lines AS summer_share, autumn / lines AS autumn_share, winter / lines AS winter_share, channels,
    channel_top / channel_spend AS main_channel_share, stores, store_top / store_spend AS main_store_share, spend_short,
    spend_medium, spend_long, before_short, before_medium, before_long, orders_short, orders_medium, orders_long,
    discounted_spend / nullif(gross, 0) AS price_sensitivity, products / product_lines AS variety_seeking
FROM in_time JOIN orders USING (customer_id) LEFT JOIN products USING (customer_id) LEFT JOIN categories USING (customer_id)
    LEFT JOIN brands USING (customer_id) LEFT JOIN channels USING (customer_id) LEFT JOIN stores USING (customer_id)
