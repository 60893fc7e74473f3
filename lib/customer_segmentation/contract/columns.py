"""Names of the columns that cross from one module to another."""

# Order lines
CUSTOMER_ID = "customer_id"
ORDER_ID = "order_id"
ORDERED_AT = "ordered_at"
PRODUCT_ID = "product_id"
CATEGORY = "category"
QUANTITY = "quantity"
UNIT_PRICE = "unit_price"
AMOUNT = "amount"
DISCOUNT = "discount"
CHANNEL = "channel"
BRAND = "brand"
STORE_ID = "store_id"
COUPON = "coupon"
IS_RETURN = "is_return"
LINE_NUMBER = "line_number"
CHANGED_AT = "changed_at"
LINE_ID = "line_id"
WARNINGS = "warnings"

# Returns
RETURN_LINE_ID = "return_line_id"
RETURN_ORDER_ID = "return_order_id"
RETURNED_AT = "returned_at"
IS_MATCHED = "is_matched"
RETURNED_AMOUNT = "returned_amount"
IS_FULLY_RETURNED = "is_fully_returned"

# Rejected lines
SOURCE_FILE = "source_file"
ROW = "row"
REASONS = "reasons"
INGESTED_AT = "ingested_at"
BATCH_ID = "batch_id"

# Engagement
OCCURRED_AT = "occurred_at"
EVENT_TYPE = "event_type"
RESPONSE_BY_CHANNEL = "response_by_channel"
TOP_CATEGORIES = "top_categories"
CAMPAIGN_ID = "campaign_id"

# A run and what it says of a customer
RUN_ID = "run_id"
MADE_FROM = "made_from"
AS_OF_DATE = "as_of_date"
TENURE_DAYS = "tenure_days"
MODEL_VERSION = "model_version"
SEGMENT_ID = "segment_id"
SECOND_SEGMENT_ID = "second_segment_id"
MACRO_SEGMENT_ID = "macro_segment_id"
SEGMENT_NAME = "segment_name"
RANK_IN_SEGMENT = "rank_in_segment"
CONFIDENCE = "confidence"
IS_OUTLIER = "is_outlier"
PREVIOUS_SEGMENT_ID = "previous_segment_id"
MOVED_BY_BEHAVIOUR = "moved_by_behaviour"
MOVED_BY_MODEL = "moved_by_model"
DRIVERS = "drivers"

NOISE_ID = -1
"""The segment_id of noise: customers like too few others to be in a segment."""
NOISE_NAME = "Unclassified"

# Attributes
HAS_ATTRIBUTES = "has_attributes"

# RFM
RECENCY_DAYS = "recency_days"
FREQUENCY = "frequency"
MONETARY = "monetary"
ACTIVE_DAYS = "active_days"
R_SCORE = "r_score"
F_SCORE = "f_score"
M_SCORE = "m_score"
RFM_SCORE = "rfm_score"
RFM_NUMBER = "rfm_number"
RFM_SEGMENT = "rfm_segment"
