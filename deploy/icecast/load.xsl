<?xml version="1.0" encoding="UTF-8"?>
<!--
  load.xsl: the free slots of every mount, in the format that icecast balancers read in 2010.

  Relays that still have such a file work as they are. New relays want slots.xsl instead, which
  tells more: here a mount without <max-listeners> is NaN, because the word "unlimited" less a
  number is not a number, and a relay on demand looks like one that streams.
-->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" encoding="UTF-8" indent="yes" media-type="text/xml"/>

  <xsl:template match="/icestats">
    <load>
      <xsl:for-each select="source">
        <mount name="{@mount}"><xsl:value-of select="max_listeners - listeners"/></mount>
      </xsl:for-each>
    </load>
  </xsl:template>
</xsl:stylesheet>
