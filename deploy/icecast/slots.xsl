<?xml version="1.0" encoding="UTF-8"?>
<!--
  slots.xsl: lets icecast-balancer see how many listeners a relay has and how many it may have.

  Copy this file into the web root of every relay (<paths><webroot> in icecast.xml, on Debian
  /usr/share/icecast2/web). Icecast needs neither a restart nor a SIGHUP for it, and asks nobody
  for a password. Try it with: curl http://relay.example.org:8000/slots.xsl

  One <mount> stands for each mount that is not hidden. free is what is left of max_listeners,
  for people who read along. active="0" says that nothing has been streamed yet: a relay on
  demand waits for its first listener. bytes stands still when the source does. Titles and descriptions are left out on purpose, so that no
  source can break or forge these numbers.
-->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" encoding="UTF-8" indent="yes" media-type="text/xml"/>

  <xsl:template match="/icestats">
    <slots version="1" server_id="{server_id}" server_start="{server_start_iso8601}"
           clients="{clients}" listeners="{listeners}" sources="{sources}">
      <xsl:apply-templates select="source"/>
    </slots>
  </xsl:template>

  <xsl:template match="source">
    <mount name="{@mount}" listeners="{listeners}" max_listeners="{max_listeners}">
      <xsl:attribute name="free">
        <xsl:choose>
          <!-- icecast-kh says -1. -->
          <xsl:when test="max_listeners = 'unlimited' or max_listeners = -1">unlimited</xsl:when>
          <xsl:when test="max_listeners &gt;= listeners">
            <xsl:value-of select="max_listeners - listeners"/>
          </xsl:when>
          <!-- A limit that was lowered below the listeners who are there already. -->
          <xsl:when test="max_listeners &lt; listeners">0</xsl:when>
          <xsl:otherwise>unknown</xsl:otherwise>
        </xsl:choose>
      </xsl:attribute>
      <xsl:attribute name="active">
        <xsl:value-of select="number(boolean(stream_start | stream_start_iso8601))"/>
      </xsl:attribute>
      <xsl:if test="total_bytes_read">
        <xsl:attribute name="bytes"><xsl:value-of select="total_bytes_read"/></xsl:attribute>
      </xsl:if>
      <xsl:if test="server_type">
        <xsl:attribute name="type"><xsl:value-of select="server_type"/></xsl:attribute>
      </xsl:if>
    </mount>
  </xsl:template>
</xsl:stylesheet>
