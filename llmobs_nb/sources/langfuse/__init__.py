"""langfuse"""
