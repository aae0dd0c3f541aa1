-- What was asked for each class, hour by hour.
CREATE TABLE price_hours (
    hardware TEXT NOT NULL,
    hour TIMESTAMP WITH TIME ZONE NOT NULL,
    offers INTEGER NOT NULL,
    rate_p10_micros BIGINT NOT NULL,
    rate_p50_micros BIGINT NOT NULL,
    rate_p90_micros BIGINT NOT NULL,
    PRIMARY KEY (hardware, hour)
);
