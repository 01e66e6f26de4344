BlinearJ$<ÁŸ¿0‡
<<cú>Kˆ¿feı½ˆp>HMk¿…¼$È>